"""What projects, profiles and queues keep on a disk alike: locks, pictures, places for work."""
