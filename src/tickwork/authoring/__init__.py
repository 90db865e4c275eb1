"""Authoring: from a folder of source to a tested, signed agent, in every language of the SDK."""
