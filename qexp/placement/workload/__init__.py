"""What has to run, and when: circuits, arrivals, service times, and the episodes made of them."""
