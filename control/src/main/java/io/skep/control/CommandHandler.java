package io.skep.control;

import io.skep.control.CommandException.Code;
import io.skep.store.Consensus.Member;
import io.skep.store.Transaction;
import io.skep.wire.Command;
import io.skep.wire.CommandResult;
import java.time.Instant;
import java.util.List;
import java.util.function.Supplier;

/** The part of the leader that carries out commands: it checks them, and writes what they ask for. */
final class CommandHandler {
    private final NodeLiveness liveness;
    private final ServiceCommands services;
    private final NodeCommands nodes;
    private final ClusterCommands cluster;
    private final NetworkCommands networks;
    private final DataCommands data;
    private final CertificateCommands certificates;
    private final TaskReports reports = new TaskReports();

    CommandHandler(IdSource ids, NodeLiveness liveness, Supplier<List<Member>> members) {
        this.liveness = liveness;
        services = new ServiceCommands(ids);
        nodes = new NodeCommands(liveness, members);
        networks = new NetworkCommands(ids);
        cluster = new ClusterCommands(ids, networks);
        data = new DataCommands(ids);
        certificates = new CertificateCommands(ids);
    }

    /**
     * Carries out one command.
     *
     * @return the object by id, version and name only
     * @throws CommandException why the command is refused; the caller rolls the transaction back
     */
    CommandResult handle(Transaction transaction, Instant now, Command command) {
        return switch (command.getKindCase()) {
            case CREATE_SERVICE -> services.create(transaction, now, command.getCreateService());
            case UPDATE_SERVICE -> services.update(transaction, now, command.getUpdateService());
            case REMOVE_SERVICE -> services.remove(transaction, command.getRemoveService());
            case UPDATE_NODE -> nodes.update(transaction, command.getUpdateNode());
            case REMOVE_NODE -> nodes.remove(transaction, now, command.getRemoveNode());
            case UPDATE_CLUSTER -> cluster.update(transaction, command.getUpdateCluster());
            case CREATE_NETWORK -> networks.create(transaction, command.getCreateNetwork());
            case REMOVE_NETWORK -> networks.remove(transaction, command.getRemoveNetwork());
            case CREATE_SECRET -> data.createSecret(transaction, command.getCreateSecret());
            case UPDATE_SECRET -> data.updateSecret(transaction, command.getUpdateSecret());
            case REMOVE_SECRET -> data.removeSecret(transaction, command.getRemoveSecret());
            case CREATE_CONFIG -> data.createConfig(transaction, command.getCreateConfig());
            case UPDATE_CONFIG -> data.updateConfig(transaction, command.getUpdateConfig());
            case REMOVE_CONFIG -> data.removeConfig(transaction, command.getRemoveConfig());
            case ATTACH_NETWORK -> networks.attach(transaction, now, command.getAttachNetwork());
            case DETACH_NETWORK -> networks.detach(transaction, command.getDetachNetwork());
            case REGISTER_NODE -> nodes.register(transaction, now, command.getRegisterNode());
            case REPORT_SESSIONS -> liveness.report(transaction, now, command.getReportSessions());
            case REPORT_TASK_STATUS -> reports.take(transaction, now, command.getReportTaskStatus());
            case REQUEST_CERTIFICATE -> certificates.request(transaction, command.getRequestCertificate());
            case CHANGE_MANAGER ->
                throw new CommandException(
                        Code.FAILED_PRECONDITION, "managers join and leave the quorum, which is not part of the state");
            case COMPLETE_CERTIFICATE -> certificates.complete(transaction, command.getCompleteCertificate());
            case INIT_CLUSTER -> cluster.init(transaction, command.getInitCluster());
            case KIND_NOT_SET ->
                throw new CommandException(
                        Code.UNIMPLEMENTED,
                        "the leader does not know this command: it is of another version than the manager that sent it");
        };
    }
}
