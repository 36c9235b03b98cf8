package delivery_test

func beCrowd() bool { return false }
