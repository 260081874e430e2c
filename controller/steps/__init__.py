"""One module a kind of step: its data and how it is carried out."""
