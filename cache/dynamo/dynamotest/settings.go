package dynamotest

// settings are what a table has beside its keys and items. They have no effect
// on reads and writes here, but are checked, kept and shown, and a protected
// table is not deleted.
type settings struct {
	ProvisionedThroughput     *throughput
	OnDemandThroughput        *onDemand
	SSESpecification          *encryption
	TableClass                string
	DeletionProtectionEnabled *bool
}

// throughput is in units a second, both at least 1.
type throughput struct{ ReadCapacityUnits, WriteCapacityUnits *int64 }

// onDemand limits an on-demand table; -1 has no limit.
type onDemand struct {
	MaxReadRequestUnits  *int64 `json:",omitempty"`
	MaxWriteRequestUnits *int64 `json:",omitempty"`
}

// encryption is SSESpecification; without it DynamoDB uses a key of its own and
// does not show it.
type encryption struct {
	Enabled        *bool
	SSEType        string
	KMSMasterKeyID string `json:"KMSMasterKeyId"`
}

// limits are the constraints of the model on what both CreateTable and
// UpdateTable have.
func (in *settings) limits(v *violations) {
	in.ProvisionedThroughput.limits(v, "provisionedThroughput")
	v.enum("tableClass", in.TableClass, "STANDARD", "STANDARD_INFREQUENT_ACCESS")
	if in.SSESpecification != nil {
		v.enum("sSESpecification.sSEType", in.SSESpecification.SSEType, "AES256", "KMS")
	}
}

// limits notes what is missing or below 1; p may be nil. member is the path to
// it in the request.
func (p *throughput) limits(v *violations, member string) {
	if p == nil {
		return
	}
	for _, f := range []struct {
		name  string
		value *int64
	}{{"readCapacityUnits", p.ReadCapacityUnits}, {"writeCapacityUnits", p.WriteCapacityUnits}} {
		if f.value == nil {
			v.add("null", member+"."+f.name, "not be null")
		}
		v.atLeast(member+"."+f.name, f.value, 1)
	}
}

// billingEnum has the two modes that there are; "" is PROVISIONED.
func billingEnum(v *violations, mode string) {
	v.enum("billingMode", mode, "PROVISIONED", "PAY_PER_REQUEST")
}

// limits adds the names and types of attributes and keys, in the order of the
// request.
func (in *createTableInput) limits(v *violations) {
	in.settings.limits(v)
	billingEnum(v, in.BillingMode)
	for i, d := range in.AttributeDefinitions {
		nameLimits(v, "attributeDefinitions", i, d.AttributeName)
		v.enum(member("attributeDefinitions", i, "attributeType"), d.AttributeType, "B", "N", "S")
	}
	for i, k := range in.KeySchema {
		nameLimits(v, "keySchema", i, k.AttributeName)
		v.enum(member("keySchema", i, "keyType"), k.KeyType, "HASH", "RANGE")
	}
}

// limits are those of the settings and the billing mode.
func (in *updateTableInput) limits(v *violations) {
	in.settings.limits(v)
	billingEnum(v, in.BillingMode)
}

// same is the refusal of an update that changes nothing.
//
// The text is the service's to its end.
func (p *throughput) same(old *throughput) *apiError {
	if old == nil || *p.ReadCapacityUnits != *old.ReadCapacityUnits || *p.WriteCapacityUnits != *old.WriteCapacityUnits {
		return nil
	}
	return validation("The provisioned throughput for the table will not change. The requested value equals the current value. Current ReadCapacityUnits provisioned for the table: %d. Requested ReadCapacityUnits: %d. Current WriteCapacityUnits provisioned for the table: %d. Requested WriteCapacityUnits: %d. Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits.",
		*old.ReadCapacityUnits, *p.ReadCapacityUnits, *old.WriteCapacityUnits, *p.WriteCapacityUnits)
}

// set takes over what an update says.
//
// What it does not mention stays.
func (s *settings) set(in settings) {
	if in.ProvisionedThroughput != nil {
		s.ProvisionedThroughput = in.ProvisionedThroughput
	}
	if in.OnDemandThroughput != nil {
		s.OnDemandThroughput = in.OnDemandThroughput
	}
	if in.SSESpecification != nil {
		s.SSESpecification = in.SSESpecification
	}
	if in.TableClass != "" {
		s.TableClass = in.TableClass
	}
	if in.DeletionProtectionEnabled != nil {
		s.DeletionProtectionEnabled = in.DeletionProtectionEnabled
	}
}

// protected reports whether DeleteTable is refused.
func (s *settings) protected() bool {
	return s.DeletionProtectionEnabled != nil && *s.DeletionProtectionEnabled
}

// describe adds to a TableDescription.
//
// Each member has the name that TableDescription has, which is not always the
// request's. keyARN is that of the key which the service manages.
func (s *settings) describe(d map[string]any, keyARN string) {
	p := map[string]any{"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
	if t := s.ProvisionedThroughput; t != nil {
		p["ReadCapacityUnits"], p["WriteCapacityUnits"] = *t.ReadCapacityUnits, *t.WriteCapacityUnits
	}
	d["ProvisionedThroughput"] = p
	d["DeletionProtectionEnabled"] = s.protected()
	if s.TableClass != "" {
		d["TableClassSummary"] = map[string]any{"TableClass": s.TableClass}
	}
	if s.OnDemandThroughput != nil {
		d["OnDemandThroughput"] = s.OnDemandThroughput
	}
	if e := s.SSESpecification; e != nil && e.Enabled != nil && *e.Enabled {
		if e.KMSMasterKeyID != "" {
			keyARN = e.KMSMasterKeyID
		}
		d["SSEDescription"] = map[string]any{"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": keyARN}
	}
}
