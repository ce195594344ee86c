package adapter

// Iris Works, a CRM for photographers. No API documentation of it was found, so nothing here is the
// vendor's own protocol; see newPhotoCRM.
func init() {
	register(newPhotoCRM("irisworks", "Iris Works", "Nothing: no API documentation of the vendor was found. Calls are signed by "+
		"Standard Webhooks 1.0; the body has the fields that photo CRMs use."))
}
