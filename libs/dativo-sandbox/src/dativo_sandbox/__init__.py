"""Private loopback servers for the demo, tests and benchmarks."""
