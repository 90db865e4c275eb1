"""Language models of providers: one port, two protocols, no vendor's package."""
