"""The sandbox: WebAssembly agents, from the bytes of a module to the outcome of a turn."""
