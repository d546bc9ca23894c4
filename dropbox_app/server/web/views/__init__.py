"""The view functions, in one module for each group of pages."""
