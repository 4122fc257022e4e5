package io.skep.engine;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.TreeSet;
import org.jspecify.annotations.Nullable;

/**
 * The user a container's processes run as, looked up in the files of its image (passwd(5), group(5)).
 *
 * @param uid user id
 * @param gid group id
 * @param groups further groups
 * @param home its home folder, or / when it has none
 */
record ContainerUser(long uid, long gid, List<Long> groups, String home) {
    private static final long ID_MAX = (1L << 31) - 1;

    ContainerUser {
        groups = List.copyOf(groups);
    }

    /**
     * Finds a user.
     *
     * @param asked {@code user}, {@code user:group}, with names or numbers; empty for root
     * @param groupAdd names or numbers of further groups
     * @throws EngineException INVALID when a name is not known in the image
     */
    static ContainerUser find(String asked, List<String> groupAdd, RootFiles files) {
        List<String[]> users;
        List<String[]> groups;
        try {
            users = entries(files.text("/etc/passwd"));
            groups = entries(files.text("/etc/group"));
        } catch (IOException e) {
            throw EngineException.internal("the users of the image cannot be read: " + e.getMessage(), e);
        }
        int colon = asked.indexOf(':');
        String userName = colon < 0 ? asked : asked.substring(0, colon);
        String groupName = colon < 0 ? "" : asked.substring(colon + 1);

        String[] user = userName.isEmpty() ? byId(users, 0) : byName(users, userName);
        Optional<Long> number = number(userName);
        if (user == null && number.isPresent()) {
            user = byId(users, number.get());
        }
        if (user == null && number.isEmpty() && !userName.isEmpty()) {
            throw EngineException.invalid("unable to find user " + userName + ": no matching entries in passwd file");
        }
        long uid = user != null ? id(user, 2) : number.orElse(0L);
        long gid = user != null ? id(user, 3) : 0;
        List<Long> further = new ArrayList<>();
        if (groupName.isEmpty()) {
            if (user != null) {
                String login = user[0];
                for (String[] group : groups) {
                    if (group.length > 3 && List.of(group[3].split(",", -1)).contains(login)) {
                        further.add(id(group, 2));
                    }
                }
            }
        } else {
            gid = group(groups, groupName);
        }
        for (String added : groupAdd) {
            further.add(group(groups, added));
        }
        String home = user != null && user.length > 5 && !user[5].isEmpty() ? user[5] : "/";
        return new ContainerUser(uid, gid, List.copyOf(new TreeSet<>(further)), home);
    }

    private static long group(List<String[]> groups, String name) {
        String[] group = byName(groups, name);
        if (group != null) {
            return id(group, 2);
        }
        return number(name)
                .orElseThrow(() -> EngineException.invalid(
                        "unable to find group " + name + ": no matching entries in group file"));
    }

    private static List<String[]> entries(Optional<String> text) {
        List<String[]> entries = new ArrayList<>();
        for (String line : text.orElse("").split("\n", -1)) {
            String[] fields = line.strip().split(":", -1);
            if (fields.length >= 3 && number(fields[2]).isPresent() && !line.startsWith("#")) {
                entries.add(fields);
            }
        }
        return entries;
    }

    private static String @Nullable [] byName(List<String[]> entries, String name) {
        for (String[] entry : entries) {
            if (entry[0].equals(name)) {
                return entry;
            }
        }
        return null;
    }

    private static String @Nullable [] byId(List<String[]> entries, long id) {
        for (String[] entry : entries) {
            if (id(entry, 2) == id) {
                return entry;
            }
        }
        return null;
    }

    private static long id(String[] entry, int field) {
        return field < entry.length ? number(entry[field]).orElse(0L) : 0;
    }

    private static Optional<Long> number(String text) {
        if (text.isEmpty() || text.length() > 10 || !text.chars().allMatch(each -> each >= '0' && each <= '9')) {
            return Optional.empty();
        }
        long number = Long.parseLong(text);
        if (number > ID_MAX) {
            throw EngineException.invalid("uids and gids must be in range 0-" + ID_MAX);
        }
        return Optional.of(number);
    }
}
