"""One module a kind of fault; each has functions that sweep a program and give a row of the scorecard."""
