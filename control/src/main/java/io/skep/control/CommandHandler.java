package io.skep.control;

import io.skep.control.CommandException.Code;
import io.skep.store.Kind;
import io.skep.store.Transaction;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import java.time.Instant;

/** The part of the leader that carries out commands: it checks them, and writes what they ask for. */
final class CommandHandler {
    @SuppressWarnings("unused")
    private final IdSource ids;

    @SuppressWarnings("unused")
    private final NodeLiveness liveness;

    CommandHandler(IdSource ids, NodeLiveness liveness) {
        this.ids = ids;
        this.liveness = liveness;
    }

    /**
     * Carries out one command. The result carries the objects as they are stored.
     *
     * @throws CommandException why the command is refused; the caller rolls the transaction back
     */
    CommandResult handle(Transaction transaction, Instant now, Command command) {
        return switch (command.getKindCase()) {
            case REMOVE_SERVICE -> {
                String id = command.getRemoveService().getServiceId();
                Lookups.require(transaction.state(), Kind.SERVICE, id);
                transaction.remove(Kind.SERVICE, id);
                yield CommandResult.newBuilder().setId(id).build();
            }
            default -> throw new CommandException(Code.UNIMPLEMENTED, command.getKindCase() + " is not supported");
        };
    }
}
