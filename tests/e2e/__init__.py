"""A package, so that its tests share one stack, which ends with the last of them."""
