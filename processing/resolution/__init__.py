"""Resolution of the volumes, by depth and direction, from half series."""
