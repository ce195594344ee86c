package adapter

// ShootQ, a CRM for photographers. What it documents is a contact form (/api/v1/contactform/...), by which
// anybody can make a new lead, without authentication. An update sent there would be one more lead, so it
// is not used, and nothing here is the vendor's own protocol; see newPhotoCRM.
func init() {
	register(newPhotoCRM("shootq", "ShootQ", "Only a contact form for new leads, which is not used: an update would become a lead. Calls are signed by "+
		"Standard Webhooks 1.0; the body has the fields that photo CRMs use."))
}
