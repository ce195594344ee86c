package adapter

// Studio Cloud, a CRM for photography studios. Its API is deprecated and unsupported, so nothing here is
// the vendor's own protocol; see newPhotoCRM.
func init() {
	register(newPhotoCRM("studiocloud", "Studio Cloud", "Nothing: the vendor's API is deprecated and unsupported. Calls are signed by "+
		"Standard Webhooks 1.0; the body has the fields that photo CRMs use."))
}
