"""Data shelf: tables and images as rows with attributes."""
