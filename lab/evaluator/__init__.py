"""The frozen judge of skills: a process of its own that plays incidents and hands out scores, never the incidents."""
