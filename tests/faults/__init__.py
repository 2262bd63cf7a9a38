"""The fault campaign: kills, damage, full disks and attacks, held against what is promised."""
