"""Plots of records and tables for the page, made with Altair."""
