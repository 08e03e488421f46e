"""Every `stanch bench`: measures and prints, asserts nothing."""
