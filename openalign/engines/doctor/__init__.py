"""What can be known of a cluster before a job goes there."""
