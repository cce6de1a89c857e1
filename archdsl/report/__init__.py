"""What is found, put into a form that is read: tables, JSON, Markdown, and diagnostics with their source."""

from archdsl.report.report import PRECISIONS, Report, report_of

__all__ = ["PRECISIONS", "Report", "report_of"]
