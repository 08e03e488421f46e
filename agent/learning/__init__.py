"""How skills get better: typed edits, a gate that keeps only what measurably helps, and the record of every try."""
