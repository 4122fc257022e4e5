package io.skep.e2e;

/** The same operations with the docker CLI of Debian 12, which may be much older than the one that the shell finds. */
class OperationsOfDebianClientTest extends OperationsTest {
    @Override
    String cli() {
        return "/usr/bin/docker";
    }
}
