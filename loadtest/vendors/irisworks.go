package vendors

import "context"

// IrisWorks simulates the service before a studio's Iris Works account.
type IrisWorks struct{ *photoCRM }

var _ Sender = (*IrisWorks)(nil)

// StartIrisWorks starts the simulator. ctx bounds the start only.
func StartIrisWorks(ctx context.Context, cfg Config) (*IrisWorks, error) {
	return startPhotoCRM(ctx, "irisworks", "Iris Works", cfg, func(s *photoCRM) *IrisWorks { return &IrisWorks{s} })
}
