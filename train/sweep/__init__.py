"""A sweep: settings drawn from ranges, tried over processes, each outcome kept when it is there."""
