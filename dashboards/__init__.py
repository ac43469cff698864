"""Pages that draw report results: `app.py` is the Streamlit script, `views` has one file a page."""
