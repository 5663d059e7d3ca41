"""Analyses by name: what a plan file may ask for, as functions of an address and plain settings."""
