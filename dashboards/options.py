"""How Streamlit must run for these pages: no telemetry, no network but ours, no details of errors, a light and a dark theme."""

from pathlib import Path

SCRIPT = Path(__file__).with_name("app.py")

OPTIONS: dict[str, bool | int | str] = {
    "browser.gatherUsageStats": False,
    "server.headless": True,
    "server.address": "127.0.0.1",
    "server.fileWatcherType": "none",
    "server.maxMessageSize": 50,
    "server.maxUploadSize": 5,
    "server.showEmailPrompt": False,
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "client.disableDataExport": True,  # our own files are whole, and safe in a spreadsheet
    "client.showSidebarNavigation": True,
    "theme.light.primaryColor": "#1f6f8b",
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f3f6f8",
    "theme.light.textColor": "#1b2a33",
    "theme.dark.primaryColor": "#4fb3d1",
    "theme.dark.backgroundColor": "#12191e",
    "theme.dark.secondaryBackgroundColor": "#1c262d",
    "theme.dark.textColor": "#e4ecf0",
    "theme.baseFontSize": 15,
}


def apply() -> None:
    """Set the options in this process, before Streamlit starts to serve. Changes Streamlit's configuration."""
    from streamlit import config

    for name, value in OPTIONS.items():
        config.set_option(name, value)
