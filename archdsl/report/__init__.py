"""What is found, put into a form that is read: tables, JSON, Markdown, and diagnostics with their source."""

from archdsl.report.report import Report

__all__ = ["Report"]
