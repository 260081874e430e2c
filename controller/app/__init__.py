"""The programs: the `dualtilt` command and the session process, which joins all the parts."""
