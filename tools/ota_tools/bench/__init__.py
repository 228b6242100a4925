"""`ota bench`: what the library costs, beside the least that is possible and the nearest peer."""
