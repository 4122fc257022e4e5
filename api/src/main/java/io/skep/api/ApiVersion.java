package io.skep.api;

/**
 * A version of the Docker Engine API, such as 1.41.
 *
 * @param major 1 up to today
 * @param minor counts up with each change
 */
record ApiVersion(int major, int minor) implements Comparable<ApiVersion> {
    static final ApiVersion OLDEST = new ApiVersion(1, 24);
    static final ApiVersion NEWEST = new ApiVersion(1, 51);

    /**
     * Reads digits and one dot.
     *
     * @throws NumberFormatException when the text is no version
     */
    static ApiVersion parse(String text) {
        int dot = text.indexOf('.');
        if (dot < 0) {
            return new ApiVersion(Integer.parseUnsignedInt(text), 0);
        }
        return new ApiVersion(
                Integer.parseUnsignedInt(text.substring(0, dot)), Integer.parseUnsignedInt(text.substring(dot + 1)));
    }

    boolean before(int otherMajor, int otherMinor) {
        return compareTo(new ApiVersion(otherMajor, otherMinor)) < 0;
    }

    @Override
    public int compareTo(ApiVersion other) {
        return major != other.major ? Integer.compare(major, other.major) : Integer.compare(minor, other.minor);
    }

    @Override
    public String toString() {
        return major + "." + minor;
    }
}
