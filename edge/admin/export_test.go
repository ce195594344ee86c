package admin

// MaxViews is for the test of that bound.
const MaxViews = maxViews
