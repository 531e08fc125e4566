"""The two files that tell Grafana where data and dashboards are.

Grafana fills in `$LINI_…` from its environment, so that no address or token stands in a file.
One data source serves every InfluxDB: user and password on 1.x; any user, and the token as the
password, on 2.x and 3.x. Give it a READ-only user or token: a viewer may send any query.
"""

DATASOURCE = """\
apiVersion: 1
datasources:
  - name: Lini
    uid: lini
    type: influxdb
    access: proxy
    url: $LINI_INFLUX_URL
    user: $LINI_INFLUX_USER
    editable: false
    jsonData:
      dbName: $LINI_INFLUX_DATABASE
      httpMode: POST
      timeInterval: 1s
      maxSeries: 1000
    secureJsonData:
      password: $LINI_INFLUX_READ_TOKEN
"""

# One language an organisation: both have the same uids, so that links and bookmarks hold in each.
DASHBOARDS = """\
apiVersion: 1
providers:
  - name: lini
    folder: Lini
    type: file
    allowUiUpdates: false
    disableDeletion: false
    updateIntervalSeconds: 60
    options:
      path: $LINI_DASHBOARDS/$LINI_LANGUAGE
"""
