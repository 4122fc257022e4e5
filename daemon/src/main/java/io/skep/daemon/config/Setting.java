package io.skep.daemon.config;

/**
 * One value as it was written, and where.
 *
 * @param text the value in the form that the flag of the key takes
 */
record Setting(String text, Source source) {}
