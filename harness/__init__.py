"""What tests and benchmarks run the product against: servers, projects, deployments, endpoints and fake clouds."""
