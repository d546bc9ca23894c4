"""The view functions, one module for each group of pages."""
