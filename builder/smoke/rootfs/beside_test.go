package rootfs_test

const besideDir = "ROOTFS_TEST_DIR"

func beside(string) {}
