"""What a notebook asks of one picture or one unit: a call, and the sheet that it returns."""
