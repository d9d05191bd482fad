"""From the files of runs to a report: one data model, a Markdown and a typst renderer."""
