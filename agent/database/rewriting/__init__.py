"""One rewrite a module; rewrite.py beside this folder runs them."""
