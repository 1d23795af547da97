"""Interactive figures: pure functions of results that return {"data": [...], "layout": {...}} for plotly.js."""
