"""From a run to pages that open from the file system. Knows kinds of cards, no analysis."""
