"""Planners: from a goal to a plan that holds, by template or by language model."""
