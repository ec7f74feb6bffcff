"""The report of an evaluation: JSON, CSV, plots, and one HTML file that opens without a network."""

from lavida_mm.visualization.evaluation_report.figure_names import describe_figure
from lavida_mm.visualization.evaluation_report.html_page import make_page, write_page
from lavida_mm.visualization.evaluation_report.report_data import Coverage, ReportData, ReportVideo, Thumbnail
from lavida_mm.visualization.evaluation_report.report_writer import summarise, write_report

__all__ = [
    'Coverage',
    'ReportData',
    'ReportVideo',
    'Thumbnail',
    'describe_figure',
    'make_page',
    'summarise',
    'write_page',
    'write_report',
]
